// Package crash kills a running fairlead and looks whether it kept its word.
//
// A round starts the real binary on the data of all rounds before it, lets
// eight clients push, mount, tag, pull and delete at once, and ends it with
// SIGKILL at a moment that the round's seed chose: after some time, or when
// some bytes of a large upload have left. The next start must be quick, and
// then every promise is looked up: what was acknowledged is there byte by
// byte, what was acknowledged as deleted is not, what was under way is either
// done or not begun, an open upload goes on where it stood, and the blob
// folder holds nothing that no client sent.
//
// What the server may say after a crash follows from the operations' times
// alone, see ledger: no test of this package knows how fairlead works inside.
//
// FAIRLEAD_ROUNDS sets the number of rounds (20), FAIRLEAD_SEED the choices
// (the moments stay the machine's), FAIRLEAD_BINARY a program built already.
package crash

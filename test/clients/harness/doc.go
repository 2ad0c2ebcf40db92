// Package harness runs a real fairlead and the foreign programs that talk to
// it, for the tests of this module.
//
// Main builds the binary once per run. Start gives a test a server of its
// own, with fresh data, on a free loopback port; the end of the test stops it
// and looks at how it went: exit code 0, no secret and no failed answer in
// its log. A Home is the world of one foreign program: a folder with its
// settings and credentials, so that nothing of the machine leaks in and
// nothing stays behind.
//
// Secrets reach the programs through their standard input and through files
// that their own login wrote, as users are told to do it: a Tool refuses to
// run with the server's secret among its arguments or in its environment.
package harness

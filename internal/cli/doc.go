// Package cli is the command line: one file per command, every command with
// an example. It turns arguments into values, calls what does the work, and
// turns errors into a sentence that ends with the next thing to type.
//
// Exit codes: 0 done, 1 failed, 2 the command line or the configuration is
// wrong and nothing was tried.
package cli

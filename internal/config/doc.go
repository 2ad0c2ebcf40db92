// Package config turns one YAML file, the environment and the command line's
// flags into one checked value.
//
// Every setting has one name in three spellings: the YAML key public-url is
// the flag --public-url and the variable FAIRLEAD_PUBLIC_URL. A flag beats the
// environment, the environment beats the file, the file beats the default.
//
// The struct [Config] is the only list of settings: the flags, the variables,
// the rendering and the table in docs/configuration.md are derived from its
// tags. A field has
//
//	yaml     its name
//	default  its value when nobody gives one, spelled as a user would
//	usage    one sentence for --help and the documentation
//	min, max bounds of a number, size or duration, spelled as a user would
//	secret   "true" when the value must never be shown
//
// Nothing is guessed and nothing is ignored: an unknown key, an unknown
// FAIRLEAD_ variable and a value out of bounds are problems, and one load
// reports all of them at once, each with its place and the way out.
package config

// Package token mints and verifies registry tokens: what /token hands out and
// every request to /v2/ carries, for minutes.
//
// A registry token is a JWT (RFC 7519) in the format of docker's token
// specification: its scopes are in the claim "access". Exactly one algorithm
// exists, EdDSA with Ed25519 (RFC 8037), and there is no code for any other.
//
// The header is compared, not parsed. For each trusted key there is one
// possible header, {"alg":"EdDSA","kid":…,"typ":"JWT"}, so a token's first
// segment either is byte for byte the one of a trusted key, or the token is
// refused: there is no algorithm to confuse, no embedded key to believe
// (jwk, x5c, jku), no crit to overlook. The payload is parsed only after the
// signature was verified, and must then be byte for byte what Minter writes
// for the claims that were read from it: an unknown claim (a restriction this
// version would not know to honour), a missing or a doubled one is refused.
// Only Fairlead mints for Fairlead, so strictness costs nothing.
//
// Verifying touches no database. A token that was verified once is remembered;
// from then on only what can change is checked: the time, whether its key is
// still trusted, and whether the Fairlead token it was minted from is alive.
package token

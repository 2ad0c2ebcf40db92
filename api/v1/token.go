package v1

import "time"

// Reach is where in its account a token may act: everywhere (All, namespaces
// added later included), or in namespaces and under repositories.
type Reach struct {
	All          bool     `json:"all,omitempty"`
	Namespaces   []string `json:"namespaces,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
}

// TokenUse is when, from where and by which program a token was last used.
type TokenUse struct {
	At      time.Time `json:"at"`
	Address string    `json:"address,omitempty"`
	Client  string    `json:"client,omitempty"`
}

// Token of an account, without its value.
type Token struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	// Access: readonly, readwrite, admin, cluster.
	Access      string    `json:"access"`
	Reach       Reach     `json:"reach"`
	Description string    `json:"description,omitempty"`
	Cluster     string    `json:"cluster,omitempty"`
	Created     time.Time `json:"created"`
	CreatedBy   string    `json:"createdBy,omitempty"`
	// Expires is absent for a token that does not.
	Expires *time.Time `json:"expires,omitempty"`
	// State: active, expired, revoked.
	State     string     `json:"state"`
	Revoked   *time.Time `json:"revoked,omitempty"`
	RevokedBy string     `json:"revokedBy,omitempty"`
	// Rotated is when the present value was made; FormerUntil, until when the
	// one before is good.
	Rotated     *time.Time `json:"rotated,omitempty"`
	FormerUntil *time.Time `json:"formerUntil,omitempty"`
	// KeyID names the server key that makes the value.
	KeyID    string     `json:"keyId"`
	LastUsed *TokenUse  `json:"lastUsed,omitempty"`
	Pulls    int64      `json:"pulls"`
	LastPull *time.Time `json:"lastPull,omitempty"`
}

// TokenSpec of POST /api/v1/tokens. With the header Idempotency-Key the same
// request made again gives the same token.
type TokenSpec struct {
	// Account to own it: for the operator; otherwise one's own.
	Account string `json:"account,omitempty"`
	// Access: readonly (the default), readwrite, admin, cluster.
	Access string `json:"access,omitempty"`
	// Reach is everywhere in the account by default.
	Reach       *Reach `json:"reach,omitempty"`
	Description string `json:"description,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
	// Expires after a duration such as 24h (the default) or 90d; NonExpiring
	// never.
	Expires     string `json:"expires,omitempty"`
	NonExpiring bool   `json:"nonExpiring,omitempty"`
}

// TokenValue is a token with its value.
type TokenValue struct {
	Token
	Value string `json:"value"`
	// Added is false if an earlier request made the token.
	Added bool `json:"added,omitempty"`
}

// RotateOptions of POST /api/v1/tokens/{id}/rotate.
type RotateOptions struct {
	// Overlap is how long the old value stays good, such as 1h (the default
	// is 24h, 0s ends it at once). It never outlives the token.
	Overlap string `json:"overlap,omitempty"`
}

// TokenQuery selects tokens of GET /api/v1/tokens.
type TokenQuery struct {
	Account string `json:"account,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Ended: expired and revoked ones, too.
	Ended bool   `json:"ended,omitempty"`
	Next  string `json:"next,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// TokenPage is a page of tokens, newest first.
type TokenPage struct {
	Items []Token `json:"items"`
	Next  string  `json:"next,omitempty"`
}

// ServerKey makes token values, or signs registry tokens.
type ServerKey struct {
	ID string `json:"id"`
	// Purpose: token-values, registry-tokens.
	Purpose string `json:"purpose"`
	// Current: new values and signatures are made with it.
	Current bool      `json:"current"`
	Made    time.Time `json:"made"`
	// Tokens whose value it makes (token-values).
	Tokens int `json:"tokens"`
}

// ServerKeys are all keys, the current ones first.
type ServerKeys struct {
	Items []ServerKey `json:"items"`
}

// RetireOptions of POST /api/v1/upkeep/keys/retire: Revoke ends the tokens
// whose values the key makes; without it such a key is refused.
type RetireOptions struct {
	ID     string `json:"id"`
	Revoke bool   `json:"revoke,omitempty"`
}

// RetireReport is what ended with a key.
type RetireReport struct {
	ID      string `json:"id"`
	Purpose string `json:"purpose"`
	Revoked int    `json:"revoked"` // tokens
}

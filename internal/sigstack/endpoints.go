// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package sigstack

// Endpoints is where the services are and what is needed to use them. It is
// the one line of JSON that the program writes.
type Endpoints struct {
	Fulcio    string `json:"fulcio"`
	Rekor     string `json:"rekor"`     // version 1
	RekorV2   string `json:"rekorV2"`   // the log, for writing and for reading
	Timestamp string `json:"timestamp"` // the whole URL, with /api/v1/timestamp
	CTLog     string `json:"ctLog"`
	TUF       string `json:"tuf"`
	Registry  string `json:"registry"` // host:port, with the referrers API, over plain HTTP

	// Issuer is the OpenID Connect issuer of people, whose client is ClientID.
	// The secret is for the client credentials grant alone.
	Issuer       string `json:"issuer"`
	ClientID     string `json:"clientID"`
	ClientSecret string `json:"clientSecret"`

	// Actions is the issuer of workflows, and the others are what GitHub hands
	// a workflow in ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN.
	Actions             string `json:"actions"`
	ActionsRequestURL   string `json:"actionsRequestURL"`
	ActionsRequestToken string `json:"actionsRequestToken"`

	// Paths of files. The trusted root covers all services. The signing
	// configurations differ in the log, and in whether there is a timestamp
	// authority.
	TrustedRoot                string `json:"trustedRoot"`
	SigningConfigV1            string `json:"signingConfigV1"`
	SigningConfigV2            string `json:"signingConfigV2"`
	SigningConfigV1NoTimestamp string `json:"signingConfigV1NoTimestamp"`
	FulcioPEM                  string `json:"fulcioPEM"`
	RekorPEM                   string `json:"rekorPEM"`
	CTPEM                      string `json:"ctPEM"`
	TimestampPEM               string `json:"timestampPEM"`
	TUFRoot                    string `json:"tufRoot"`
}

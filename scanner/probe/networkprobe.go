package probe

import "picket/scanner"

// NetworkProbes is what the network-probe source gives: what the agent learnt when it asked one
// host through the network that the device is on.
type NetworkProbes struct {
	// Why says why nothing was asked; Probes is then empty.
	Why    string         `json:"why,omitempty"`
	Probes []NetworkProbe `json:"probes"`
}

// NetworkProbe is what came of asking one host through one network.
type NetworkProbe struct {
	Network string `expr:"network" json:"network" doc:"network that was asked through"`
	Host    string `expr:"host" json:"host" doc:"host that was asked: the device's own upstream, or network_probe"`
	Address string `expr:"address" json:"address,omitempty" doc:"address of the host that answered"`

	Chain       string `expr:"chain" json:"chain,omitempty" doc:"whose certificate came: expected (the upstream's own authority, a public one, or one that vouched for the host before), local (one that was added to this device's store), expired (expected, but for its dates), untrusted (none that this device trusts)"`
	Proven      bool   `expr:"proven" json:"proven,omitempty" doc:"the host showed the expected certificate"`
	ChainWhy    string `expr:"chain_why" json:"chain_why,omitempty" doc:"why the certificate is not trusted"`
	Issuer      string `expr:"issuer" json:"issuer,omitempty" doc:"who signed the host's certificate, as the certificate says"`
	Anchor      string `expr:"anchor" json:"anchor,omitempty" doc:"authority that the chain ends at"`
	AnchorSHA   string `expr:"anchor_sha256" json:"anchor_sha256,omitempty" doc:"digest of that authority's certificate, or of the last one sent where none is trusted, lower-case hex"`
	TLSVersion  string `expr:"tls_version" json:"tls_version,omitempty" doc:"version of TLS that was agreed on: 1.0 to 1.3"`
	BestVersion string `expr:"best_version" json:"best_version,omitempty" doc:"highest version that the host agreed to in other networks; empty when not known"`
	Cipher      string `expr:"cipher" json:"cipher,omitempty" doc:"cipher suite that was agreed on"`
	WeakCipher  bool   `expr:"weak_cipher" json:"weak_cipher,omitempty" doc:"the suite is one that is no longer safe"`

	HTTPStatus   int    `expr:"http_status" json:"http_status,omitempty" doc:"status of the answer to plain HTTP"`
	HTTPLocation string `expr:"http_location" json:"http_location,omitempty" doc:"scheme and host that plain HTTP is sent on to"`
	Upgrades     bool   `expr:"upgrades" json:"upgrades,omitempty" doc:"plain HTTP is sent on to HTTPS at the same host"`
	MustUpgrade  bool   `expr:"must_upgrade" json:"must_upgrade,omitempty" doc:"the host sends plain HTTP on to HTTPS: it said so over TLS (HSTS), or did in other networks"`
	Same         bool   `expr:"same" json:"same,omitempty" doc:"plain HTTP has what TLS has, or what it had in other networks"`
	WasSame      bool   `expr:"was_same" json:"was_same,omitempty" doc:"plain HTTP had in other networks what TLS had there"`
	Inserted     int    `expr:"inserted" json:"inserted,omitempty" doc:"bytes that plain HTTP has in the midst of what TLS has; -1 when something was taken out or replaced in a page that does not change by itself"`

	Portal     string `expr:"portal" json:"portal,omitempty" doc:"what shows a sign-in page: redirect, status 511, page, network (said so itself); empty when nothing does"`
	PortalHost string `expr:"portal_host" json:"portal_host,omitempty" doc:"host of the sign-in page"`

	Resolvers  []string `expr:"resolvers" json:"resolvers,omitempty" doc:"servers that were asked for the host's address"`
	Answers    []string `expr:"answers" json:"answers,omitempty" doc:"what they said: server, and addresses"`
	Private    []string `expr:"private" json:"private,omitempty" doc:"servers that gave private addresses alone"`
	Public     []string `expr:"public" json:"public,omitempty" doc:"servers that gave public addresses"`
	WasPublic  bool     `expr:"was_public" json:"was_public,omitempty" doc:"the host, proven by its certificate, had a public address in other networks"`
	WasPrivate bool     `expr:"was_private" json:"was_private,omitempty" doc:"the host, proven by its certificate, had a private address in other networks"`
	Wildcard   []string `expr:"wildcard" json:"wildcard,omitempty" doc:"servers that gave an address for a random name that cannot exist"`
	Where      string   `expr:"where" json:"-" doc:"the network probe"`
	scanner.Unread
}

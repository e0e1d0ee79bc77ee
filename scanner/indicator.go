package scanner

// Matcher holds indicators of compromise: names, addresses and digests that public research
// ties to spyware or stalkerware.
type Matcher interface {
	// Match gives the indicators that a value seen on the device meets, in the order of their
	// lists; none is nil. The form of the value goes with the kind.
	Match(kind IndicatorKind, value string) []IndicatorMatch
}

// IndicatorKind says what an indicator is compared with.
type IndicatorKind string

// The kinds, and the value that Match expects of each.
const (
	IndicatorPackage     IndicatorKind = "package"     // an application id, exact: com.example.app
	IndicatorCertificate IndicatorKind = "certificate" // hex digest of a signing certificate (MD5, SHA-1, SHA-256, SHA-512); colons and case do not matter
	IndicatorFileHash    IndicatorKind = "file-hash"   // hex digest of a file's content, as above
	IndicatorDomain      IndicatorKind = "domain"      // a host name; met by an indicator for it or for a parent domain
	IndicatorURL         IndicatorKind = "url"         // a URL; met by one for its host and the start of its path, and by its host's domain or address
	IndicatorIP          IndicatorKind = "ip"          // an IPv4 or IPv6 address; met by an address or a network
	IndicatorProcess     IndicatorKind = "process"     // a process name as the kernel or ps gives it, perhaps cut to 15 bytes
	IndicatorFileName    IndicatorKind = "file-name"   // a file's name; of a path its last part
	IndicatorFilePath    IndicatorKind = "file-path"   // an absolute path; met by one for it or for a directory above
	IndicatorProperty    IndicatorKind = "property"    // name of an Android system property
	IndicatorEmail       IndicatorKind = "email"       // an e-mail address; case does not matter
)

// Classes of what an indicator points to.
const (
	ClassSpyware     = "spyware"     // made to be planted by a state or a criminal
	ClassStalkerware = "stalkerware" // sold to watch a partner in secret
	ClassWatchware   = "watchware"   // watches with a visible sign; parental or fleet control
)

// IndicatorMatch is an indicator that a value meets.
type IndicatorMatch struct {
	Kind    IndicatorKind `json:"kind"`
	Value   string        `json:"value"`             // the indicator's own value, which a parent domain or a network differs in
	Name    string        `json:"name,omitempty"`    // family, tool, campaign or application; empty when the list says none
	Class   string        `json:"class"`             // spyware, stalkerware, watchware
	List    string        `json:"list"`              // file of the list
	Date    string        `json:"date,omitempty"`    // YYYY-MM-DD that it is valid from
	Until   string        `json:"until,omitempty"`   // YYYY-MM-DD that it is valid until; empty for ever
	Licence string        `json:"licence,omitempty"` // of the list, when it says
	ID      string        `json:"id,omitempty"`      // of the indicator in its list
	// Weak says that the match alone proves little: a process name that is short or that the kernel
	// cut, a vendor's website rather than its server, a signing key that is public.
	Weak bool `json:"weak,omitempty"`
}

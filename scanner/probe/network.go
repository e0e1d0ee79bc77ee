package probe

import "time"

// NetworkHistory is what is remembered of networks by whoever scans again and again.
type NetworkHistory struct {
	// Key makes the ids of networks, so that what is remembered names no network.
	Key string `json:"key"`
	// Boot is the kernel's id of this boot, "" unknown.
	Boot string `json:"boot,omitempty"`
	// Networks, at most MaxNetworks, in any order.
	Networks []NetworkSeen `json:"networks,omitempty"`
}

// Bounds of what is remembered.
const (
	MaxNetworks    = 256
	MaxNetworkList = 16 // values of one kind of one network
)

// NetworkSeen is what is remembered of one network.
type NetworkSeen struct {
	// ID is a keyed hash of what the network is called, or of its gateway where it has no name.
	ID    string    `json:"id"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Here is set while the device is on it; Left is when it was last seen to have left.
	Here bool      `json:"here,omitempty"`
	Left time.Time `json:"left,omitzero"`
	// Session is a keyed hash of the last link to it: interface, carrier, boot, access point.
	Session string `json:"session,omitempty"`
	// OpenTold is when it was last told that the network is open.
	OpenTold time.Time `json:"open_told,omitzero"`

	// Values that count as the network's own, by kind: gateway ("IP MAC"), resolver, dhcp,
	// router, proxy, security.
	Known map[string][]string `json:"known,omitempty"`
	// Fresh are values that were seen and do not yet count, with since when.
	Fresh map[string]map[string]time.Time `json:"fresh,omitempty"`
}

// Heard is what was overheard on the links since somebody listens.
type Heard struct {
	Since time.Time `json:"since"`
	// Deaf says, by what is not heard (packets, wireless), why.
	Deaf   map[string]string `json:"deaf,omitempty"`
	Claims []Claim           `json:"claims,omitempty"`
}

// Claim is what somebody on a link says to be.
type Claim struct {
	// Kind is neighbour (an address whose hardware address turned), dhcp, router or vrrp.
	Kind      string `json:"kind"`
	Interface string `json:"interface"`
	IP        string `json:"ip"`
	MAC       string `json:"mac,omitempty"`
	// MACs are those that a neighbour turned between lately, Turns is how often it did within
	// the last minute.
	MACs  []string `json:"macs,omitempty"`
	Turns int      `json:"turns,omitempty"`
	// Routers, Resolvers and Proxy are what DHCP or a router hands out.
	Routers   []string `json:"routers,omitempty"`
	Resolvers []string `json:"resolvers,omitempty"`
	Proxy     string   `json:"proxy,omitempty"`
	// Virtual are the addresses that VRRP shares between routers.
	Virtual []string `json:"virtual,omitempty"`
}

// WiFi is an access point that a wireless interface has heard lately.
type WiFi struct {
	Interface  string `json:"interface"`
	SSID       string `json:"ssid"`
	BSSID      string `json:"bssid"`
	Security   string `json:"security"`
	Frequency  int    `json:"frequency,omitempty"` // MHz
	Signal     int    `json:"signal,omitempty"`    // hundredths of dBm
	Associated bool   `json:"associated,omitempty"`
}

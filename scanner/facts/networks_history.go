package facts

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

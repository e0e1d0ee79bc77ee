package probe

import "time"

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

package facts

import (
	"context"

	"picket/scanner"
)

func unwritten(context.Context, *scanner.Input) scanner.Table {
	return scanner.Table{Absent: "not collected"}
}

func androidUsersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_users", Doc: "users and profiles; never a name", Row: AndroidUser{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func vpnsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "vpns", Doc: "VPNs that were on or must be on", Row: VPN{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func appEventsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "app_events", Doc: "updates, downgrades and removals of apps before the device was seen", Row: AppEvent{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidNetworksCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_networks", Doc: "networks that the device was on", Row: AndroidNetwork{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidProxiesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_proxies", Doc: "proxies that apps are told to use", Row: AndroidProxy{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidCAsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_cas", Doc: "certificate authorities added by people, managers or intruders", Row: AndroidCA{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidNeighboursCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_neighbours", Doc: "machines seen on the network", Row: AndroidNeighbour{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidTunnelsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_tunnels", Doc: "tunnel interfaces", Row: AndroidTunnel{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidHostsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_hosts", Doc: "names that the hosts file leads elsewhere", Row: HostsEntry{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func droppedFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "dropped_files", Doc: "programs and app packages where they do not belong", Row: DroppedFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

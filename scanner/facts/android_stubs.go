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

func accessibilityServicesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "accessibility_services", Doc: "services that read the screen and act for the person", Row: AccessibilityService{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func deviceAdminsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "device_admins", Doc: "apps that manage the device or a profile", Row: DeviceAdmin{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func notificationListenersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "notification_listeners", Doc: "apps that read every notification", Row: NotificationListener{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func keyboardsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "keyboards", Doc: "input methods that are switched on", Row: Keyboard{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func defaultAppsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "default_apps", Doc: "apps that handle messages, calls, pages and the like", Row: DefaultApp{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func trustAgentsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "trust_agents", Doc: "agents that keep the device unlocked", Row: TrustAgent{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func appOpsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "app_ops", Doc: "uses of the camera, microphone, location and other guarded things", Row: AppOp{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func screenCapturesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "screen_captures", Doc: "who was recording or casting the screen", Row: ScreenCapture{}, Platforms: onAndroid,
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

package facts

import (
	"context"

	"picket/scanner"
)

func unwritten(context.Context, *scanner.Input) scanner.Table {
	return scanner.Table{Absent: "not collected"}
}

func appsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "apps", Doc: "installed apps, over all users", Row: App{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func androidListenersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_listeners", Doc: "ports that programs listen at", Row: AndroidListener{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func crashesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "crashes", Doc: "crashes by process", Row: Crash{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func adbKeysCollector() scanner.Collector {
	return scanner.Collector{
		Table: "adb_keys", Doc: "computers that may use adb without asking", Row: ADBKey{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func bootScriptsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "boot_scripts", Doc: "scripts and modules that root tools run at the start", Row: BootScript{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func droppedFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "dropped_files", Doc: "programs and app packages where they do not belong", Row: DroppedFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func setuidFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "setuid_files", Doc: "programs of system partitions that give rights to who runs them", Row: SetuidFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func securityEventsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "security_events", Doc: "entries of Android's security log, by kind", Row: SecurityEvent{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func webviewCollector() scanner.Collector {
	return scanner.Collector{
		Table: "webview", Doc: "the program that shows web pages inside apps", Row: WebView{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

func indicatorHitsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "indicator_hits", Doc: "things on the device that lists of known-bad things name", Row: IndicatorHit{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}}, Collect: unwritten,
	}
}

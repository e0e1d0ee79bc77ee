package facts

import (
	"context"
	"encoding/json"
	"errors"

	"picket/scanner"
	"picket/scanner/probe"
)

// NetworkProbe is what came of asking one host through the network; the agent asks, not the scan.
type NetworkProbe = probe.NetworkProbe

// NetworkProbes is the form in which the agent answers the source.
type NetworkProbes = probe.NetworkProbes

func networkProbesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "network_probes", Doc: "what the agent learnt by asking one host through the network", Row: NetworkProbe{},
		Platforms: []string{"linux", "android"},
		Reads:     scanner.Reads{Probes: []scanner.Source{scanner.SourceNetworkProbe}},
		Collect:   collectNetworkProbes,
	}
}

func collectNetworkProbes(ctx context.Context, in *scanner.Input) scanner.Table {
	if !in.Device.Identity().Live {
		return scanner.Table{Absent: needsLive}
	}
	b, err := in.Device.Probe(ctx, scanner.SourceNetworkProbe)
	if errors.Is(err, scanner.ErrUnavailable) {
		return scanner.Table{Absent: "a scan by itself asks nothing of the network; the agent does (network_probe)"}
	}
	if err != nil {
		return scanner.Table{Absent: unavailable(err)}
	}
	var got NetworkProbes
	if err := json.Unmarshal(b, &got); err != nil {
		return scanner.Table{Absent: string(scanner.SourceNetworkProbe) + ": " + err.Error()}
	}
	if got.Why != "" {
		return scanner.Table{Absent: got.Why}
	}
	rows := got.Probes
	if rows == nil {
		rows = []NetworkProbe{}
	}
	for i := range rows {
		rows[i].Where = "network probe of " + rows[i].Host
	}
	return scanner.Table{Rows: rows}
}

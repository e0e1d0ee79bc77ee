package facts

import (
	"context"
	"fmt"

	"picket/scanner"
	"picket/scanner/probe"
)

func hiddenProcessesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "hidden_processes", Doc: "processes that answer the kernel but are in no listing of /proc", Row: HiddenProcess{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceHiddenPIDs}},
		Collect: func(ctx context.Context, in *scanner.Input) scanner.Table {
			found, absent := probed[probe.HiddenPIDs](ctx, in, scanner.SourceHiddenPIDs)
			if absent != "" {
				return scanner.Table{Absent: absent}
			}
			t := scanner.Table{}
			rows := make([]HiddenProcess, 0, len(found.Hidden))
			for _, h := range found.Hidden {
				rows = append(rows, HiddenProcess{HiddenProcess: h, Where: fmt.Sprintf("/proc/%d", h.PID)})
			}
			t.Rows = rows
			if found.Incomplete != "" {
				t.Partial = []string{found.Incomplete}
			}
			return t
		},
	}
}

func hiddenPortsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "hidden_ports", Doc: "ports in use that the kernel's socket tables do not list", Row: HiddenPort{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceHiddenPorts}},
		Collect: func(ctx context.Context, in *scanner.Input) scanner.Table {
			found, absent := probed[probe.HiddenPorts](ctx, in, scanner.SourceHiddenPorts)
			if absent != "" {
				return scanner.Table{Absent: absent}
			}
			t := scanner.Table{}
			rows := make([]HiddenPort, 0, len(found.Hidden))
			for _, h := range found.Hidden {
				rows = append(rows, HiddenPort{HiddenPort: h, Where: "/proc/net/" + h.Proto})
			}
			t.Rows = rows
			if found.Incomplete != "" {
				t.Partial = []string{found.Incomplete}
			}
			return t
		},
	}
}

func bpfProgramsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "bpf_programs", Doc: "BPF programs loaded into the kernel", Row: BPFProgram{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceBPF}},
		Needs: []string{"processes"}, Collect: collectBPFPrograms,
	}
}

func collectBPFPrograms(ctx context.Context, in *scanner.Input) scanner.Table {
	found, absent := probed[[]probe.BPFProgram](ctx, in, scanner.SourceBPF)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	ps := scanner.Aux[*processes](in, "processes")
	rows := make([]BPFProgram, 0, len(found))
	for _, f := range found {
		row := BPFProgram{BPFProgram: f, Where: fmt.Sprintf("bpf program %d", f.ID)}
		if len(f.PIDs) > 0 {
			if p := ps.get(f.PIDs[0]); p != nil {
				row.Exe, row.ExeOwned = p.Exe, p.ExeOwned
				for _, c := range []string{"exe", "exe_owned"} {
					if why, ok := p.Unread.Unread[c]; ok {
						row.MarkUnread(c, why)
					}
				}
			}
		}
		rows = append(rows, row)
	}
	return scanner.Table{Rows: rows}
}

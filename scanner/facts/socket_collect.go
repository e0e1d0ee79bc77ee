package facts

import (
	"context"
	"fmt"

	"picket/scanner"
)

func socketsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "sockets", Doc: "network sockets with the processes that hold them", Row: Socket{},
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceSockets}},
		Needs: []string{"packages", "processes"}, Collect: collectSockets,
	}
}

func collectSockets(ctx context.Context, in *scanner.Input) scanner.Table {
	rows, absent := probed[[]Socket](ctx, in, scanner.SourceSockets)
	if absent != "" {
		return scanner.Table{Absent: absent}
	}
	ps := scanner.Aux[*processes](in, "processes")
	for i := range rows {
		rows[i].holders(ps)
	}
	return scanner.Table{Rows: rows}
}

// holders fills what is told of the processes that hold the socket. The first one stands for
// all, but for ownership: one unowned program is enough.
func (s *Socket) holders(ps *processes) {
	s.Where = "/proc/net/" + s.Proto
	if s.Family == 6 {
		s.Where += "6"
	}
	columns := []string{"name", "exe", "exe_owned", "cmdline", "container", "same_root"}
	mark := func(why string) {
		for _, c := range columns {
			s.MarkUnread(c, why)
		}
	}
	if why, ok := s.Unread.Unread["pids"]; ok {
		mark(why)
		return
	}
	if len(s.PIDs) == 0 {
		if s.Inode != 0 && s.State != "TIME_WAIT" {
			mark(fmt.Sprintf("no process is seen that holds the socket %s:%d", s.LocalAddr, s.LocalPort))
		}
		return
	}
	first := ps.get(s.PIDs[0])
	if first == nil {
		mark(fmt.Sprintf("process %d is not in the table", s.PIDs[0]))
		return
	}
	s.Name, s.Exe, s.Cmdline, s.Container, s.SameRoot = first.Name, first.Exe, first.Cmdline, first.Container, first.SameRoot
	for _, c := range []string{"exe", "same_root"} {
		if why, ok := first.Unread.Unread[c]; ok {
			s.MarkUnread(c, why)
		}
	}
	s.ExeOwned = true
	for _, pid := range s.PIDs {
		p := ps.get(pid)
		if p == nil {
			continue
		}
		if why, ok := p.Unread.Unread["exe_owned"]; ok {
			s.MarkUnread("exe_owned", why)
		}
		s.ExeOwned = s.ExeOwned && p.ExeOwned
	}
}

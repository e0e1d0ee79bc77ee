package facts

import (
	"context"
	"fmt"
	"slices"

	"picket/scanner"
	"picket/scanner/parse"
)

// Membership is one account's place in one group: as its primary group, or by /etc/group.
type Membership struct {
	Group   string `expr:"group" json:"group" doc:"group name; empty when the primary group id has no name"`
	GID     int    `expr:"gid" json:"gid" doc:"group id"`
	User    string `expr:"user" json:"user" doc:"login name; empty for a group without members"`
	Primary bool   `expr:"primary" json:"primary" doc:"it is the account's primary group"`
	Human   bool   `expr:"human" json:"human" doc:"the account's uid is from 1000 to 59999"`
	Login   bool   `expr:"login_shell" json:"login_shell" doc:"the account has a shell that lets a person in"`
	Where   string `expr:"where" json:"where" doc:"file and line"`
}

func groupsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "group_members", Doc: "who is in which group, and groups without members", Row: Membership{},
		Reads: scanner.Reads{Globs: []string{"/etc/group"}}, Needs: []string{"users"}, Collect: collectGroups,
	}
}

func collectGroups(_ context.Context, in *scanner.Input) scanner.Table {
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	b, err := scanner.ReadFile(in.Device.FS(), "/etc/group", maxAccountFile)
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	groups, bad := parse.Group(b)
	rows := []Membership{}
	names := map[int]string{}
	for _, g := range groups {
		names[g.GID] = g.Name
		where := fmt.Sprintf("/etc/group:%d", g.Line)
		if len(g.Members) == 0 {
			rows = append(rows, Membership{Group: g.Name, GID: g.GID, Where: where})
		}
		for _, m := range g.Members {
			row := Membership{Group: g.Name, GID: g.GID, User: m, Where: where}
			if i := slices.IndexFunc(users, func(u User) bool { return u.Name == m }); i >= 0 {
				row.Human, row.Login = users[i].Human, users[i].LoginShell
			}
			rows = append(rows, row)
		}
	}
	for _, u := range users {
		rows = append(rows, Membership{Group: names[u.GID], GID: u.GID, User: u.Name, Primary: true, Human: u.Human, Login: u.LoginShell, Where: u.Where})
	}
	return scanner.Table{Rows: rows, Partial: damaged("/etc/group", bad)}
}

package facts

import (
	"context"
	"slices"

	"picket/scanner"
	"picket/scanner/parse"
)

func notificationListenersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "notification_listeners", Doc: "apps that read every notification", Row: NotificationListener{}, Platforms: onAndroid,
		Reads: powerReads([]string{"notification"}), Needs: []string{"packages"}, Collect: collectNotificationListeners,
	}
}

func collectNotificationListeners(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := newPowers(ctx, in, &t)
	rows := map[userComponent]*NotificationListener{}
	row := func(user int, service, where string) *NotificationListener {
		key := userComponent{user, service}
		if rows[key] == nil {
			r := &NotificationListener{Service: service, User: user}
			r.AppTraits = p.traits(componentPackage(service), &r.Unread)
			rows[key] = r
		}
		rows[key].Where = wheres(rows[key].Where, where)
		return rows[key]
	}
	access, err := asked(p, "notification", parse.NotificationReaders)
	for _, l := range slices.Concat(access.Listeners, access.Assistants) { // assistants read them all too
		r := row(max(l.User, 0), l.Component, at("dumpsys/notification", l.Line))
		r.Live = r.Live || l.Live
	}
	users, noSettings := p.secure()
	for i := range users {
		s := &users[i]
		for _, name := range []string{"enabled_notification_listeners", "enabled_notification_assistant"} {
			for _, c := range components(s.get(name)) {
				r := row(s.user, c, s.where)
				if err != nil {
					r.MarkUnread("live", unavailable(err))
				}
			}
		}
	}
	if err != nil && len(users) == 0 {
		return scanner.Table{Absent: unavailable(err) + "; settings: " + noSettings}
	}
	out := make([]NotificationListener, 0, len(rows))
	for _, r := range rows {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b NotificationListener) int {
		return compareUserComponents(userComponent{a.User, a.Service}, userComponent{b.User, b.Service})
	})
	t.Rows = out
	return t
}

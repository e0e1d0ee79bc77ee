// Command kafka-trial is a broker that speaks Kafka's protocol and keeps what it takes in memory, for trying the
// Collector's configuration without Kafka. It writes each record of the topic picket to standard
// output, in base64, a line each.
//
//	kafka-trial 127.0.0.1:9092
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/signal"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kafka-trial ADDRESS")
		os.Exit(64)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kafka-trial:", err)
		os.Exit(1)
	}
}

func serve(address string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	listen := func(network, _ string) (net.Listener, error) { return net.Listen(network, address) }
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "picket"), kfake.ListenFn(listen))
	if err != nil {
		return err
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("picket"))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { fmt.Println(base64.StdEncoding.EncodeToString(r.Value)) })
	}
	return nil
}

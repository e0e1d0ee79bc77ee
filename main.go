// Picket is an open mobile threat defense agent for Android and other Linux-based devices.
package main

import (
	"os"

	"picket/agent"
)

func main() { os.Exit(agent.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

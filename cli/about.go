package cli

import (
	"fmt"
	"io"
	"runtime"

	"rollcall/graph"
)

// Version is the release. The build sets it with -ldflags -X.
var Version = "0.1.0-dev"

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(streams *Streams) error {
	fmt.Fprintf(streams.Out, "rollcall %s (%s, %s/%s)\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

type schemaCommand struct {
	Subgraph bool `help:"Print it as a subgraph of a federated graph, for the composition."`
}

// Run prints the schema that the server serves.
func (c schemaCommand) Run(streams *Streams) error {
	text := graph.SDL()
	if c.Subgraph {
		text = graph.SubgraphSDL()
	}
	return printText(streams.Out, "%s", text)
}

type licensesCommand struct{}

// Run prints the notices of the components that the binary contains.
func (licensesCommand) Run(streams *Streams) error {
	_, err := io.WriteString(streams.Out, streams.Notices)
	return err
}

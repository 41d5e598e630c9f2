package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"rollcall/graph"
)

// Version is the release. The build sets it with -ldflags -X.
var Version = "0.1.0-dev"

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// build is what is known of the binary.
type build struct {
	Version string `json:"version"`
	// Commit and CommittedAt are "" for a build outside of a checkout, such as that of `go run`.
	Commit      string `json:"commit"`
	CommittedAt string `json:"committedAt"`
	// Modified is whether the checkout had changes that were not committed.
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild returns what is known of the running binary.
func thisBuild() build {
	b := build{Version: Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.CommittedAt = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	parts := []string{b.Go, b.Platform}
	if b.Commit != "" {
		commit := "commit " + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			commit += " with changes"
		}
		parts = slices.Insert(parts, 0, commit, b.CommittedAt)
	}
	return fmt.Sprintf("rollcall %s (%s)", b.Version, strings.Join(parts, ", "))
}

// Run prints the version, and the commit from which it was built.
func (c versionCommand) Run(streams *Streams) error {
	if c.JSON {
		return printJSON(streams.Out, thisBuild())
	}
	return printText(streams.Out, "%s\n", thisBuild())
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

package cli

import (
	"fmt"
	"runtime"
)

// Version is the release; the build sets it with -ldflags -X.
var Version = "0.1.0-dev"

type versionCommand struct{}

// Run prints it.
func (versionCommand) Run(streams *Streams) error {
	fmt.Fprintf(streams.Out, "rollcall %s (%s, %s/%s)\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

package floor

import (
	"context"
	"fmt"
	"net/http"
)

// newNothing is the floor of row 10: net/http that serves /healthz.
func newNothing(context.Context, []string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux, nil
}

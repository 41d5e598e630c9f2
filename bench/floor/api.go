package floor

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	sqlite "github.com/ncruces/go-sqlite3/driver"
)

// conns equals the server's number of connections, so that no request waits for one.
const conns = 64

// api is what the floors of the HTTP rows share: the database and the authentication, which only
// compares the token with a constant.
type api struct {
	db            *sql.DB
	app           int64
	authorization []byte
	sqlite        bool
}

// newAPI opens the database that the flags name.
func newAPI(ctx context.Context, args []string) (*api, error) {
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	database := flags.String("database", "", "as ROLLCALL_DATABASE_URL names it")
	token := flags.String("token", "", "that is accepted")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	a := &api{authorization: []byte("Bearer " + *token)}
	var err error
	if path, ok := strings.CutPrefix(*database, "sqlite:"); ok {
		// As in the server: what was confirmed survives a power failure.
		a.sqlite = true
		a.db, err = sqlite.Open("file:" + path + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	} else {
		a.db, err = sql.Open("mysql", strings.TrimPrefix(*database, "mysql://"))
	}
	if err != nil {
		return nil, err
	}
	n := conns
	if a.sqlite {
		n = 1 // only one process may write to a file
	}
	a.db.SetMaxOpenConns(n)
	a.db.SetMaxIdleConns(n)
	if err := a.db.QueryRowContext(ctx, "SELECT id FROM apps WHERE name = 'bench'").Scan(&a.app); err != nil {
		return nil, fmt.Errorf("finding the app: %w", err)
	}
	return a, nil
}

// serve returns a handler for requests whose variables are a V. The response has the data that
// answer returns.
func serve[V any](a *api, answer func(ctx context.Context, variables V) (data any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), a.authorization) != 1 {
			http.Error(w, "unauthenticated", http.StatusUnauthorized)
			return
		}
		var req struct {
			Variables V `json:"variables"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		data, err := answer(r.Context(), req.Variables)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := json.Marshal(struct {
			Data any `json:"data"`
		}{data})
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // the client may have disconnected
	})
}

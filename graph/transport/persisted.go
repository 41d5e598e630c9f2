package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"rollcall/graph/auth"
	"rollcall/graph/secret"
	"rollcall/internal/fault"
)

// Automatic persisted queries, as specified at
// https://www.apollographql.com/docs/apollo-server/performance/apq: a client sends only the hash of
// its document. If the server responds with PERSISTED_QUERY_NOT_FOUND, the client sends it again
// with the document, which is then stored under the hash.

// persistedExtension is the request's extension with the hash.
const persistedExtension = "persistedQuery"

// The refusals after which clients send the whole document. They compare the messages, so they must not change. The status
// is the one that Apollo Server uses, for every media type.
var (
	persistedQueryNotFound = &badRequest{
		status: http.StatusOK, cause: fault.New(fault.PersistedQueryNotFound, "PersistedQueryNotFound"),
	}
	persistedQueryNotSupported = &badRequest{
		status: http.StatusOK, cause: fault.New(fault.PersistedQueryNotSupported, "PersistedQueryNotSupported"),
	}
)

// queryHash is the SHA-256 hash of a document as the client sent it.
type queryHash [sha256.Size]byte

// persistedHash returns the hash in the extension's value. It refuses a value that is not
// {"version": 1, "sha256Hash": "64 lower-case hexadecimal digits"}; further entries are ignored.
func persistedHash(extension any) (hash queryHash, refused *badRequest) {
	fields, ok := extension.(map[string]any)
	if !ok {
		return hash, badPersisted("", "must be a JSON object")
	}
	number, _ := fields["version"].(json.Number)
	if version, err := number.Float64(); err != nil || version != 1 {
		return hash, badPersisted(".version", "must be 1")
	}
	text, _ := fields["sha256Hash"].(string)
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != len(hash) || text != strings.ToLower(text) {
		return hash, badPersisted(".sha256Hash", "must be 64 lower-case hexadecimal digits")
	}
	return queryHash(decoded), nil
}

// badPersisted refuses a part of the extension.
func badPersisted(part, rule string) *badRequest {
	return bad(http.StatusBadRequest, "extensions.%s%s %s", persistedExtension, part, rule)
}

// persistedQueries stores documents by app and hash, at most limit bytes in total. Beyond that, the
// app with the most bytes loses its least recently used document, so no app can reduce another to
// less than its fair share. A guest has no app: nothing is stored or found for guests.
type persistedQueries struct {
	limit   int
	metrics *metrics

	mu    sync.Mutex
	bytes int                    // of all apps
	apps  map[int64]*appsQueries // by apps.id; none is empty
}

// appsQueries are the documents of one app.
type appsQueries struct {
	texts *simplelru.LRU[queryHash, string]
	bytes int
}

// storedQueryOverhead is approximately how many bytes a stored document takes in addition to its
// text.
const storedQueryOverhead = 256

func newPersistedQueries(limit int, m *metrics) *persistedQueries {
	return &persistedQueries{limit: limit, metrics: m, apps: make(map[int64]*appsQueries)}
}

// find completes params with the stored document if they carry only its hash. It refuses them if
// there is none, or if the document that they carry has another hash. A nil q is switched off.
func (q *persistedQueries) find(ctx context.Context, params *graphql.RawParams) *badRequest {
	extension := params.Extensions[persistedExtension]
	switch {
	case extension == nil:
		return nil
	case q == nil && params.Query == "":
		return persistedQueryNotSupported
	case q == nil:
		return nil
	}
	hash, refused := persistedHash(extension)
	switch {
	case refused != nil:
		return refused
	case params.Query == "":
		var found bool
		if params.Query, found = q.get(auth.From(ctx).AppID(), hash); !found {
			return persistedQueryNotFound
		}
	case hash != sha256.Sum256([]byte(params.Query)):
		return badPersisted(".sha256Hash", "is not the SHA-256 hash of the query")
	}
	return nil
}

// store stores the document of an operation whose request find has accepted, if the request carried
// its hash and the document contains no secret. The operation must have been prepared and the caller
// confirmed: a caller with a revoked token must not fill its app's share. The document's escapes are already translated; translating
// them again changes nothing.
func (q *persistedQueries) store(ctx context.Context, opCtx *graphql.OperationContext) {
	extension := opCtx.Extensions[persistedExtension]
	principal := auth.From(ctx)
	if q == nil || extension == nil || principal.Kind == auth.Guest {
		return
	}
	if hash, refused := persistedHash(extension); refused == nil && !secret.InText(opCtx.Doc) {
		q.add(principal.AppID(), hash, opCtx.RawQuery)
	}
}

// get returns a document and marks it as used.
func (q *persistedQueries) get(app int64, hash queryHash) (text string, found bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of := q.apps[app]; of != nil {
		text, found = of.texts.Get(hash)
	}
	if found {
		q.metrics.persisted.WithLabelValues("found").Inc()
	} else {
		q.metrics.persisted.WithLabelValues("not_found").Inc()
	}
	return text, found
}

// add stores a document and evicts others to make room for it, unless it is already stored.
func (q *persistedQueries) add(app int64, hash queryHash, text string) {
	size := len(text) + storedQueryOverhead
	if size > q.limit {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	of := q.apps[app]
	if of == nil {
		texts, err := simplelru.NewLRU[queryHash, string](math.MaxInt, nil) // bounded by bytes instead
		if err != nil {
			panic(err) // only if the size is below 1
		}
		of = &appsQueries{texts: texts}
		q.apps[app] = of
	}
	if of.texts.Contains(hash) {
		return
	}
	// The clone avoids keeping the rest of a URL in memory.
	of.texts.Add(hash, strings.Clone(text))
	of.bytes += size
	q.bytes += size
	for q.bytes > q.limit {
		q.evict()
	}
	q.metrics.persisted.WithLabelValues("stored").Inc()
	q.metrics.persistedBytes.Set(float64(q.bytes))
}

// evict removes the least recently used document of the app with the most bytes. q.mu must be held.
func (q *persistedQueries) evict() {
	var app int64
	var largest *appsQueries
	for id, of := range q.apps {
		if largest == nil || of.bytes > largest.bytes {
			app, largest = id, of
		}
	}
	_, text, _ := largest.texts.RemoveOldest()
	largest.bytes -= len(text) + storedQueryOverhead
	q.bytes -= len(text) + storedQueryOverhead
	if largest.texts.Len() == 0 {
		delete(q.apps, app)
	}
}

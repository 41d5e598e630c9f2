package transport

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph/auth"
	"rollcall/internal/fault"
	"rollcall/internal/trusted"
)

// Trusted documents are those that operators have stored on the server for an app, from the builds
// of its front ends. Users of such an app can execute nothing else.

// documentExtension has the ID of a trusted document, the request's parameter documentId.
const documentExtension = "documentId"

var (
	notTrusted = &badRequest{status: http.StatusForbidden, cause: fault.New(fault.Forbidden,
		"the app accepts only trusted documents from users: send the ID of one as documentId, or its exact text")}
	trustedNotFound = &badRequest{status: http.StatusOK, cause: fault.New(fault.PersistedQueryNotFound,
		"the app has no trusted document with this documentId")}
	documentTwice = bad(http.StatusBadRequest, "documentId must not be sent together with query or extensions.persistedQuery")
)

// findTrusted completes params with the trusted document that they name, and reports whether that is
// done. It refuses documents that the app does not trust if the caller is a user of an app that has
// trusted documents.
func (s *Server) findTrusted(ctx context.Context, params *graphql.RawParams) (found bool, refused *badRequest) {
	id, named := params.Extensions[documentExtension].(string)
	if named && (params.Query != "" || params.Extensions[persistedExtension] != nil) {
		return false, documentTwice
	}
	docs, refused := s.trustedBy(ctx)
	if refused != nil {
		return false, refused
	}
	switch restricted := docs != nil && auth.From(ctx).Kind == auth.User; {
	case named:
		doc := docs.ByID(id)
		if doc == nil {
			return false, trustedNotFound
		}
		params.Query, found = doc.Text, true
	case params.Query == "":
		// Apollo's protocol, with the hash as the ID. A client that sent only a hash must learn that
		// the server does not know it, as without trusted documents.
		if doc := docs.ByID(extensionHash(params.Extensions[persistedExtension])); doc != nil {
			params.Query, found = doc.Text, true
		} else if restricted {
			refused = persistedQueryNotFound
		}
	case restricted && !docs.Contains(params.Query):
		refused = notTrusted
	}
	return found, refused
}

// extensionHash returns the hash in the extension of a persisted query, or "" if it has none.
func extensionHash(extension any) string {
	fields, _ := extension.(map[string]any)
	hash, _ := fields["sha256Hash"].(string)
	return hash
}

// trustedBy returns the trusted documents of the caller's app, or nil if it has none.
func (s *Server) trustedBy(ctx context.Context) (*trusted.Documents, *badRequest) {
	p := auth.From(ctx)
	if s.cfg.Trusted == nil || p.Kind == auth.Guest {
		return nil, nil
	}
	if err := p.LoadApp(ctx); err != nil {
		return nil, &badRequest{cause: err}
	}
	return s.cfg.Trusted.For(p.App.Key), nil
}

package management

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/ratelimit"
	"rollcall/models"
)

const (
	// maxBody is the maximum size of a request's body.
	maxBody = 64 << 10
	// timeout limits the time of an operation.
	timeout = 10 * time.Second
)

// requests limits the requests of each key.
var requests = ratelimit.Rule{Name: "management", Limit: 300, Window: time.Minute}

// The media types of responses.
const (
	jsonType    = "application/json"
	graphqlType = "application/graphql-response+json"
)

// requestInfo is what the log records about a request.
type requestInfo struct{ id, operator, key string }

type requestInfoKey struct{}

func requestID(ctx context.Context) string {
	info, _ := ctx.Value(requestInfoKey{}).(*requestInfo)
	if info == nil {
		return ""
	}
	return info.id
}

// ServeHTTP responds to a POST with an operation in JSON, as specified by GraphQL over HTTP. The only
// credential is the header Authorization: a cookie of the console means nothing here, so no other site
// can make a browser send a request that counts.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := s.Clock()
	info := &requestInfo{id: strings.ToLower(rand.Text())}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestInfoKey{}, info), timeout)
	defer cancel()
	w.Header().Set("X-Request-Id", info.id)
	w.Header().Set("Cache-Control", "no-store")
	status, response := s.respond(ctx, w, r, info)
	body, err := json.Marshal(response)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
		s.Logger.ErrorContext(ctx, "management response cannot be encoded", "requestId", info.id, "error", err)
	}
	w.Header().Set("Content-Type", mediaType(r)+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	s.Logger.LogAttrs(ctx, slog.LevelInfo, "management request",
		slog.String("requestId", info.id), slog.String("operator", info.operator), slog.String("apiKey", info.key),
		slog.Int("status", status), slog.Duration("took", s.Clock().Sub(begun)))
}

// mediaType returns the media type of the response. One that the client does not name in the header
// Accept is the plain one.
func mediaType(r *http.Request) string {
	if strings.Contains(r.Header.Get("Accept"), graphqlType) {
		return graphqlType
	}
	return jsonType
}

// respond checks the request, from what is cheapest, and executes it.
func (s *Server) respond(ctx context.Context, w http.ResponseWriter, r *http.Request, info *requestInfo) (int, any) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return s.refuse(ctx, http.StatusMethodNotAllowed, fault.New(fault.BadRequest, "send a POST"))
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != jsonType {
		return s.refuse(ctx, http.StatusUnsupportedMediaType, fault.New(fault.BadRequest, "the media type must be %s", jsonType))
	}
	call, err := s.authenticate(ctx, r, info)
	if err != nil {
		return s.refuse(ctx, statusOf(w, err), err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return s.refuse(ctx, http.StatusRequestEntityTooLarge, fault.New(fault.BadRequest, "the body has more than %d bytes", maxBody))
	}
	params := &graphql.RawParams{}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // as gqlgen expects integers of variables
	if err != nil || decoder.Decode(params) != nil || params.Query == "" {
		return s.refuse(ctx, http.StatusBadRequest, fault.New(fault.BadRequest, `the body must be a JSON object with "query"`))
	}
	// A document that cannot be executed is an error of HTTP only for clients that know the media type,
	// as the specification asks.
	invalid := http.StatusOK
	if mediaType(r) == graphqlType {
		invalid = http.StatusBadRequest
	}
	return s.execute(context.WithValue(ctx, callKey{}, call), params, invalid)
}

// execute executes an operation. invalid is the status of a document that cannot be executed.
func (s *Server) execute(ctx context.Context, params *graphql.RawParams, invalid int) (int, any) {
	ctx = graphql.StartOperationTrace(ctx)
	op, errs := s.executor.CreateOperationContext(ctx, params)
	if errs != nil {
		return invalid, refusal{s.executor.DispatchError(graphql.WithOperationContext(ctx, op), errs).Errors}
	}
	handle, ctx := s.executor.DispatchOperation(ctx, op)
	response := handle(ctx)
	if response == nil { // the time was over before it began
		return s.refuse(ctx, http.StatusServiceUnavailable, context.DeadlineExceeded)
	}
	return http.StatusOK, response
}

// authenticate returns the call of a request with a valid API key that is within the rate.
func (s *Server) authenticate(ctx context.Context, r *http.Request, info *requestInfo) (*call, error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return nil, fault.New(fault.Unauthenticated, "an API key is required: send the header Authorization: Bearer KEY")
	}
	address := s.ClientAddress(r)
	use, err := s.Operators.ByKey(ctx, strings.TrimSpace(text), address)
	if err != nil {
		return nil, err
	}
	info.operator, info.key = use.Operator.Name, use.Key.Name
	wait, err := s.Rates.Allow(ctx, requests, use.Key.ID, 1)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, fault.TooOften(wait, "at most %d requests in %s with one key", requests.Limit, requests.Window)
	}
	return &call{
		KeyUse: use, by: models.Actor{OperatorID: use.Operator.ID, Name: use.Operator.Name, Key: use.Key.Name, Address: address},
		link: func(token string) string { return s.InvitationLink(r, token) },
	}, nil
}

// statusOf returns the status of a request that was refused before it was executed, and sets the headers
// that belong to it.
func statusOf(w http.ResponseWriter, err error) int {
	switch outage.CodeOf(err) {
	case fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RateLimited:
		limit, _ := fault.As(err)
		ms, _ := limit.Extensions["retryAfterMs"].(int64)
		w.Header().Set("Retry-After", strconv.FormatInt((ms+999)/1000, 10))
		return http.StatusTooManyRequests
	case fault.Unavailable:
		w.Header().Set("Retry-After", strconv.Itoa(int(outage.RetryAfter.Seconds())))
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// refusal is the response to a request that was not executed. Unlike graphql.Response it has no data.
type refusal struct {
	Errors gqlerror.List `json:"errors"`
}

func (s *Server) refuse(ctx context.Context, status int, err error) (int, any) {
	return status, refusal{gqlerror.List{s.present(ctx, err)}}
}

// App-server-go is the App Server of a chat app, which keeps the app's users in Rollcall.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/Khan/genqlient/graphql"
)

//go:generate go tool genqlient

func main() {
	s := &server{rollcall: &session{
		url:    cmp.Or(os.Getenv("ROLLCALL_URL"), "http://127.0.0.1:8080/graphql"),
		appKey: os.Getenv("APP_KEY"), appSecret: os.Getenv("APP_SECRET"),
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users", s.register)
	mux.HandleFunc("GET /users", s.list)
	mux.HandleFunc("PATCH /users/{id}", s.update)
	mux.HandleFunc("POST /users/{id}/token", s.login)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8082"))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on http://%s", listener.Addr())
	web := &http.Server{Handler: http.MaxBytesHandler(mux, 1<<20), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(web.Serve(listener))
}

type server struct{ rollcall graphql.Client }

// register registers users, or updates those that exist: [{"id", "name", "avatarUrl"}].
func (s *server) register(w http.ResponseWriter, r *http.Request) {
	var in RegisterUsersInput
	if !decode(w, r, &in.Users) {
		return
	}
	answer, err := registerUsers(r.Context(), s.rollcall, in)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer.RegisterUsers.Results)
}

// list returns a page of the users: ?first=&after=&search=&orderBy=. What is missing has its zero
// value, which means to Rollcall that it is not given.
func (s *server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	first, err := strconv.Atoi(cmp.Or(query.Get("first"), "0"))
	if err != nil {
		reply(w, http.StatusBadRequest, refusal{ErrorCodeInvalidArgument, "first must be a number", "first"})
		return
	}
	answer, err := listUsers(r.Context(), s.rollcall, first, query.Get("after"),
		UserFilter{Search: query.Get("search")}, ListOrder(query.Get("orderBy")))
	if err != nil {
		fail(w, err)
		return
	}
	page := struct {
		Users any    `json:"users"`
		Next  string `json:"next,omitempty"`
	}{Users: answer.UserList.Nodes}
	if answer.UserList.PageInfo.HasNextPage {
		page.Next = answer.UserList.PageInfo.EndCursor
	}
	reply(w, http.StatusOK, page)
}

// update changes what is given of a user: {"name", "avatarUrl", "removeAvatar"}.
func (s *server) update(w http.ResponseWriter, r *http.Request) {
	var in UpdateUserInput
	if !decode(w, r, &in) {
		return
	}
	in.UserId = r.PathValue("id")
	answer, err := updateUser(r.Context(), s.rollcall, in)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer.UpdateUser.User.Profile)
}

// login returns a user token, with which the user's device calls Rollcall itself. A real App Server
// first checks who asks, by a password or a session of its own.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	answer, err := issueUserToken(r.Context(), s.rollcall, IssueUserTokenInput{UserId: r.PathValue("id"), TtlSeconds: 3600})
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer.IssueUserToken)
}

// fail replies with an error of Rollcall, in the terms of this server's own callers.
func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	why := refusalOf(err)
	if why == nil {
		why = &refusal{Code: ErrorCodeUnavailable, Message: "Rollcall cannot be reached"}
	}
	status := http.StatusInternalServerError
	switch why.Code {
	case ErrorCodeInvalidArgument, ErrorCodeGraphqlValidationFailed:
		status = http.StatusBadRequest
	case ErrorCodeUserNotFound:
		status = http.StatusNotFound
	case ErrorCodeUserDeactivated, ErrorCodeUserLimitReached:
		status = http.StatusConflict
	case ErrorCodeRateLimited, ErrorCodeUnavailable:
		status = http.StatusServiceUnavailable
	}
	reply(w, status, why)
}

// decode reads a request's JSON, or refuses the request and returns false.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(r.Body).Decode(into)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		reply(w, http.StatusRequestEntityTooLarge, refusal{Code: ErrorCodeInvalidArgument, Message: err.Error()})
	case err != nil:
		reply(w, http.StatusBadRequest, refusal{Code: ErrorCodeInvalidArgument, Message: err.Error()})
	}
	return err == nil
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}

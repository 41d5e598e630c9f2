package presence

import (
	"context"
	"crypto/rand"
	"sync"

	"rollcall/internal/bus"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// What is known of a device's client is in the memory of the device's node alone, because it changes
// with each pong. Other nodes ask for it.

const (
	// clientsMessage asks the other nodes for the clients of a user's devices, and foundMessage is the
	// response of a node that has some.
	clientsMessage bus.Subject[clientsQuestion] = "clients"
	foundMessage   bus.Subject[clientsFound]    = "clients-found"
)

type clientsQuestion struct {
	// ID is random, and is repeated in the responses.
	ID string
	// UserID is a users.id.
	UserID int64
}

type clientsFound struct {
	ID      string
	Clients map[string]Client
}

// Client is what is known of a device's client.
type Client struct {
	status.Client
	// Node is the name of the device's node.
	Node string
}

// clients asks other nodes for the clients of devices, and responds to their questions.
type clients struct {
	node string

	mu   sync.Mutex
	open map[string]*clientsSearch // by clientsQuestion.ID
}

// clientsSearch is a question that waits for the responses of other nodes. The lock of clients guards
// it while it is open.
type clientsSearch struct {
	missing map[string]struct{}
	found   map[string]Client
	// done is closed when nothing is missing.
	done chan struct{}
}

func (s *clientsSearch) add(found map[string]Client) {
	for id, client := range found {
		if _, missing := s.missing[id]; missing {
			delete(s.missing, id)
			s.found[id] = client
			if len(s.missing) == 0 {
				close(s.done)
			}
		}
	}
}

// Clients returns what is known of the clients of the user's devices with these IDs, by ID. It asks
// the nodes of the devices, and returns when all have responded or ctx ends. A device whose node has
// not responded is missing.
func (h *Hub) Clients(ctx context.Context, userID int64, deviceIDs []string) map[string]Client {
	s := &clientsSearch{missing: make(map[string]struct{}), found: make(map[string]Client), done: make(chan struct{})}
	for _, id := range deviceIDs {
		s.missing[id] = struct{}{}
	}
	s.add(h.clientsHere(userID))
	if len(s.missing) == 0 || !h.Networked() {
		return s.found
	}
	question := clientsQuestion{rand.Text(), userID}
	h.clients.mu.Lock()
	h.clients.open[question.ID] = s
	h.clients.mu.Unlock()
	clientsMessage.Tell(h.bus, question)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	h.clients.mu.Lock()
	delete(h.clients.open, question.ID)
	h.clients.mu.Unlock()
	return s.found
}

// DevicesHere returns the user's devices of this node, the first to connect first. It needs no Redis.
func (h *Hub) DevicesHere(userID int64) (infos []models.Device) {
	for _, d := range h.registry.DevicesHere(userID) {
		infos = append(infos, d.Info())
	}
	return infos
}

// clientsHere returns the clients of the user's devices of this node.
func (h *Hub) clientsHere(userID int64) map[string]Client {
	found := make(map[string]Client)
	for _, d := range h.registry.DevicesHere(userID) {
		found[d.Info().ID] = Client{d.Client(), h.clients.node}
	}
	return found
}

// respondClients responds to the question of another node if the user has devices here.
func (h *Hub) respondClients(_ context.Context, q clientsQuestion) {
	if found := h.clientsHere(q.UserID); len(found) > 0 {
		foundMessage.Tell(h.bus, clientsFound{q.ID, found})
	}
}

// receiveClients adds the response of another node to the question, if it is still open.
func (h *Hub) receiveClients(_ context.Context, f clientsFound) {
	h.clients.mu.Lock()
	defer h.clients.mu.Unlock()
	if s := h.clients.open[f.ID]; s != nil {
		s.add(f.Clients)
	}
}

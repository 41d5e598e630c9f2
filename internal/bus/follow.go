package bus

import (
	"context"
	"strconv"
	"sync"

	"rollcall/internal/redis"
)

// userParts is how many parts the channels of users are divided into if several servers of Redis
// share them. Each node checks the connection of each part every second.
const userParts = 32

// part is the users whose channels are in one part of Redis.
type part struct {
	redis *redis.Client
	feed  *redis.Feed

	mu sync.Mutex
	// followed are the users that this node follows, by users.id.
	followed map[int64]following
}

// following is how a node follows a user.
type following struct {
	// calls is how many calls of Follow have not ended.
	calls int
	// heard reports whether the channel has been subscribed. If the connection is lost after that,
	// OnMissed follows.
	heard bool
}

// channel returns the channel of the messages about the user.
func (p *part) channel(userID int64) string {
	return p.redis.Key("bus:" + strconv.FormatInt(userID, 10))
}

// follow subscribes the users' channels. It reports false if it could not wait until all of them are
// subscribed.
func (p *part) follow(ctx context.Context, userIDs []int64) bool {
	if p.add(userIDs) {
		return true
	}
	if !p.feed.Connected() || p.feed.Settle(ctx) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range userIDs {
		f := p.followed[id]
		f.heard = true
		p.followed[id] = f
	}
	return true
}

// add counts a call of Follow. It reports whether all channels have been subscribed already.
func (p *part) add(userIDs []int64) (heard bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	heard = true
	var fresh []string
	for _, id := range userIDs {
		f := p.followed[id]
		if f.calls == 0 {
			fresh = append(fresh, p.channel(id))
		}
		f.calls++
		p.followed[id] = f
		heard = heard && f.heard
	}
	if len(fresh) > 0 {
		p.feed.Subscribe(fresh...)
	}
	return heard
}

// unfollow ends what one call of follow began.
func (p *part) unfollow(userIDs []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []string
	for _, id := range userIDs {
		f := p.followed[id]
		if f.calls--; f.calls > 0 {
			p.followed[id] = f
			continue
		}
		delete(p.followed, id)
		gone = append(gone, p.channel(id))
	}
	if len(gone) > 0 {
		p.feed.Unsubscribe(gone...)
	}
}

// partOf returns the part of the user.
func (l *Link) partOf(userID int64) *part {
	return l.parts[redis.PartOf(userID, len(l.parts))]
}

// byPart returns the users of each part that has any.
func (l *Link) byPart(userIDs []int64) map[*part][]int64 {
	users := make(map[*part][]int64)
	for _, id := range userIDs {
		p := l.partOf(id)
		users[p] = append(users[p], id)
	}
	return users
}

// Follow implements Peers.
func (l *Link) Follow(ctx context.Context, userIDs []int64) {
	var waiting sync.WaitGroup
	for p, ids := range l.byPart(userIDs) {
		waiting.Go(func() {
			if !p.follow(ctx, ids) && ctx.Err() == nil {
				signal(l.late)
			}
		})
	}
	waiting.Wait()
}

// Unfollow implements Peers.
func (l *Link) Unfollow(userIDs []int64) {
	for p, ids := range l.byPart(userIDs) {
		p.unfollow(ids)
	}
}

// readLate has what is followed read again as soon as Redis responds, after each call of Follow that
// could not wait for it.
func (l *Link) readLate() {
	for {
		select {
		case <-l.late:
		case <-l.ctx.Done():
			return
		}
		for l.Settle(l.ctx) != nil { // it waits for redis.OperationTimeout
			if l.ctx.Err() != nil {
				return
			}
		}
		_ = l.gap(l.ctx)
	}
}

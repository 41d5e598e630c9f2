package main

import (
	"bytes"
	"context"
	"encoding/binary"

	"vitess.io/vitess/go/sqltypes"
	"vitess.io/vitess/go/vt/key"
	"vitess.io/vitess/go/vt/vtgate/vindexes"

	"rollcall/internal/userkey"
)

// The types of vindexes that a vtgate would need besides those of Vitess. Both find the shard that a
// user's key begins with: byKey in the key itself, and byID from the app and the user's external ID.
const (
	byKey = "rollcall_user_key"
	byID  = "rollcall_user_id"
)

func init() {
	vindexes.Register(byKey, func(name string, _ map[string]string) (vindexes.Vindex, error) { return keyVindex{vindex(name)}, nil })
	vindexes.Register(byID, func(name string, _ map[string]string) (vindexes.Vindex, error) { return idVindex{vindex(name)}, nil })
}

// vindex is what both have in common; it is the name in the schema.
type vindex string

func (v vindex) String() string   { return string(v) }
func (vindex) Cost() int          { return 1 }
func (vindex) IsUnique() bool     { return true }
func (vindex) NeedsVCursor() bool { return false }

// keyspaceID returns the ID at which the users of a shard are. It begins with the bits of the shard, so
// that a keyspace can be divided at each of them.
func keyspaceID(shard int) []byte {
	return binary.BigEndian.AppendUint16(nil, uint16(shard*(1<<16/userkey.Shards)))
}

// keyVindex is the vindex of a column that has a user's key.
type keyVindex struct{ vindex }

func (keyVindex) Map(_ context.Context, _ vindexes.VCursor, keys []sqltypes.Value) ([]key.ShardDestination, error) {
	out := make([]key.ShardDestination, len(keys))
	for i, k := range keys {
		out[i] = key.DestinationNone{}
		if n, err := k.ToCastInt64(); err == nil {
			out[i] = key.DestinationKeyspaceID(keyspaceID(userkey.ShardOf(n)))
		}
	}
	return out, nil
}

func (v keyVindex) Verify(ctx context.Context, c vindexes.VCursor, keys []sqltypes.Value, ids [][]byte) ([]bool, error) {
	found, err := v.Map(ctx, c, keys)
	return same(found, ids), err
}

// idVindex is the vindex of the columns with the app's key and the external ID.
type idVindex struct{ vindex }

func (idVindex) PartialVindex() bool { return false }

func (idVindex) Map(_ context.Context, _ vindexes.VCursor, rows [][]sqltypes.Value) ([]key.ShardDestination, error) {
	out := make([]key.ShardDestination, len(rows))
	for i, row := range rows {
		out[i] = key.DestinationNone{}
		if len(row) != 2 {
			continue
		}
		if app, err := row[0].ToCastInt64(); err == nil {
			out[i] = key.DestinationKeyspaceID(keyspaceID(userkey.Shard(app, row[1].ToString())))
		}
	}
	return out, nil
}

func (v idVindex) Verify(ctx context.Context, c vindexes.VCursor, rows [][]sqltypes.Value, ids [][]byte) ([]bool, error) {
	found, err := v.Map(ctx, c, rows)
	return same(found, ids), err
}

func same(found []key.ShardDestination, ids [][]byte) []bool {
	out := make([]bool, len(ids))
	for i := range ids {
		at, ok := found[i].(key.DestinationKeyspaceID)
		out[i] = ok && bytes.Equal(at, ids[i])
	}
	return out
}

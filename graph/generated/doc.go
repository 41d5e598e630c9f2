// Package generated is what gqlgen writes from the GraphQL schema: the executor
// and the types of its inputs and payloads. `make generate` writes it anew.
package generated

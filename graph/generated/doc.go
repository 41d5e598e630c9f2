// Package generated has the code that gqlgen generates from the GraphQL schema: the executor and the
// types of its inputs and payloads. `make generate` updates it.
package generated

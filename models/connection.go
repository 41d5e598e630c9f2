package models

// AppConnection is an open WebSocket or event stream of an App Server.
type AppConnection struct {
	ID     int64 `gorm:"primaryKey;autoIncrement:false"`
	AppID  int64
	NodeID int64
	// Transport is "websocket" or "sse".
	Transport string
	// Address is the client's address, and UserAgent its User-Agent header.
	Address, UserAgent string
	// Generation is the app's ConnectionGeneration when the connection was opened.
	Generation int
	// Closing reports whether an operator has asked for the connection to be closed.
	Closing     bool
	ConnectedAt Time
}

// ConnectionNode is a node that has connections of App Servers.
type ConnectionNode struct {
	ID   int64 `gorm:"primaryKey;autoIncrement:false"`
	Name string
	// SeenAt is when the node last reported, by the clock of the database. It is 0 if the node has
	// stopped and its connections must be deleted.
	SeenAt Time
}

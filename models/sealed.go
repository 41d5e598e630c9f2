package models

// SealedValue is a value that only the holder of its key can read; see internal/sealed.
type SealedValue struct {
	ID int64 `gorm:"primaryKey"`
	// Digest identifies the key and its owner.
	Digest []byte
	// Content is the encrypted value, or nil while the key is only reserved.
	Content   []byte
	ExpiresAt Time
}

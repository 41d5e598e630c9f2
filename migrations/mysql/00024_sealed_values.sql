-- +goose Up
-- Short-lived values of the console, encrypted under keys that only the operators' browsers have.
-- content is NULL while a key is only reserved.
CREATE TABLE sealed_values (
    id BIGINT NOT NULL AUTO_INCREMENT,
    digest VARBINARY(32) NOT NULL,
    content MEDIUMBLOB NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY sealed_values_digest (digest),
    KEY sealed_values_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE sealed_values;

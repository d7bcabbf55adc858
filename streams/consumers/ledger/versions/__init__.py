"""The ledger's migrations. What has been released is never changed again."""

"""What keeps a table fast and small while it is written: expiry, compaction, deletion of files nobody refers to."""

"""The results of an acquisition on disk.

=============  ==========================================================================
`file`         `ResultsWriter`: the file that grows
`final`        `finalize`: the finished file, which Picasso opens
`reader`       `ResultsReader`, `read_results`: either of them
`header`       `ResultsHeader`: what is known of the acquisition
`frames`       `FRAME_RECORD`, `FrameOutcome`: the commit record
`ledger`       `Ledger`: every frame accounted for, once
`recover`      what a crash leaves becomes a finished file; `repair` for the file's superblock
`layout`       what lies where, under which names
=============  ==========================================================================
"""

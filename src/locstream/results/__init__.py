"""The results of an acquisition on disk.

=============  ==========================================================================
`file`         `ResultsWriter`: the file that grows; `live_file` for how it is made
`final`        `finalize`: the finished file, which Picasso opens
`reader`       `ResultsReader`, `read_results`: either of them
`header`       `ResultsHeader`: what is known of the acquisition
`frames`       `FRAME_RECORD`, `FrameOutcome`: the commit record
`ledger`       `Ledger`: every frame accounted for, once
`recover`      what a crash leaves becomes a finished file; `repair` for the file's superblock, `whole_frames`
               for what counts
`lock`         who may write; `kept_calibration` for the camera's calibration beside the rows
`layout`       what lies where, under which names
=============  ==========================================================================
"""

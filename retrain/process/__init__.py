"""The process around the job: how commands start and end, devices, interruptions, times, output paths."""

"""What a drill replays in an installation of its own: an intrusion, a ransomware, a breach; seen, told, answered for.

Real parts all through: processes, sites, database, door, watch and channels, in a folder that is removed at the end and
that shares no key with production.
"""

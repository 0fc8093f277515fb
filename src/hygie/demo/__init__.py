"""The demonstration: a story on one machine in which every step checks itself. It works on a folder of its own."""

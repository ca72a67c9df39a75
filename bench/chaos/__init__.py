"""Runs while processes are killed: does all finish, is anything lost or repeated, and how long does nothing happen?"""

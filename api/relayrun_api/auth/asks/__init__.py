"""What a request wants to do, in the words of `@auth.on` of LangGraph's SDK. Pure.

Each route has a rule that makes of a request what the author's handlers are asked, with the value that the SDK's types
have; what a handler changes of the value is written back into the request before anything is done.
"""

"""Calls fitted to what their target can read.

What a wire or a server takes is data (`ChatGrammar`, the rules of a model); the few functions here apply it to every call on its
way there, be it translated or in the client's own form. What was rewritten is told with `Call.change`, what was lost with
`Call.drop`; names of tools come back as the client's own (`Call.aliases`).
"""

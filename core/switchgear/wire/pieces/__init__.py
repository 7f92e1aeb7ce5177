"""Where the answers of each wire hold their texts: an `AnswerFace` for each, which filters read and change them through.

Members that are not texts, and events without, stay as they came. What a provider answered in the client's wire is filtered
there; what is translated is filtered in the canonical form, before the client's dialect tells it.
"""

"""A LangGraph agent that decides on payments, logins and page views."""

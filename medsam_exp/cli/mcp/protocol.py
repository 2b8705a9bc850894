"""The Model Context Protocol over lines: JSON-RPC 2.0, a message a line, as far as a server of tools needs it.

Requests are `initialize`, `ping`, `tools/list` and `tools/call`; notifications are read and never answered. One tool
works at a time, on a thread of its own, so that a ping is answered meanwhile.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.foreign import parsed_json
from medsam_exp.runtime.json_text import json_text

log = logging.getLogger(__name__)

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""Of the protocol, the newest first."""
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_LONGEST_LINE = 2**20  # bytes


@dataclass(frozen=True)
class Tool:
    """What an assistant may call.

    Attributes:
        name: that it calls.
        description: what it does, for the assistant.
        schema: JSON Schema of its arguments, an object.
        call: takes arguments by name and returns an answer, JSON-able; its `UserError` is told to the assistant.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    call: Callable[..., Mapping[str, Any]]


class _RpcError(Exception):
    """An answer that is an error of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Server:
    """Answers messages.

    Args:
        name: of the server.
        version: of the server.
        instructions: for the assistant.
        tools: that are offered.
        output: where answers are written; nothing else may be.
    """

    def __init__(
        self, name: str, version: str, instructions: str, tools: Sequence[Tool], output: BinaryIO
    ) -> None:
        self._about = {"serverInfo": {"name": name, "version": version}, "instructions": instructions}
        self._tools, self._output = {tool.name: tool for tool in tools}, output
        self._writing = threading.Lock()

    def serve(self, source: BinaryIO) -> None:
        """Answer every line until the source ends; calls that were begun are answered first."""
        with ThreadPoolExecutor(1) as worker:
            while line := source.readline(_LONGEST_LINE + 1):
                if len(line) > _LONGEST_LINE and not line.endswith(b"\n"):
                    while (rest := source.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                        pass
                    self._fail(None, _INVALID_REQUEST, f"a message has more than {_LONGEST_LINE} bytes")
                elif line.strip():
                    self._take(line, worker)

    def _take(self, line: bytes, worker: ThreadPoolExecutor) -> None:
        try:
            message = parsed_json(line.decode(), "this line", "send less at once")
            json_text(message, ensure_ascii=False).encode()  # no name of a file has half a letter
        except UserError as error:
            self._fail(None, _INVALID_REQUEST, str(error))
            return
        except ValueError:
            self._fail(None, _PARSE_ERROR, "this line is no JSON")
            return
        own = message.get("id") if isinstance(message, dict) else None
        number = own if isinstance(own, str | int) and not isinstance(own, bool) else None
        try:
            method, params = _checked(message)
        except _RpcError as error:
            self._fail(number, error.code, str(error))
            return
        if "id" not in message:  # a notification
            return
        if method == "tools/call":
            worker.submit(self._reply, number, method, params)
        else:
            self._reply(number, method, params)

    def _reply(self, number: str | int | None, method: str, params: Mapping[str, Any]) -> None:
        try:
            result = self._result(method, params)
        except _RpcError as error:
            self._fail(number, error.code, str(error))
            return
        self._write({"jsonrpc": "2.0", "id": number, "result": result})

    def _result(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                asked = params.get("protocolVersion")
                version = asked if asked in VERSIONS else VERSIONS[0]
                return {"protocolVersion": version, "capabilities": {"tools": {}}, **self._about}
            case "ping":
                return {}
            case "tools/list":
                return {
                    "tools": [
                        {"name": tool.name, "description": tool.description, "inputSchema": tool.schema}
                        for tool in self._tools.values()
                    ]
                }
            case "tools/call":
                return self._called(params)
        raise _RpcError(_NO_METHOD, f"there is no method {method}")

    def _called(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name, arguments = params.get("name"), params.get("arguments", {})
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None or not isinstance(arguments, dict):
            said = f"there is no tool {name}" if tool is None else "arguments is no object"
            raise _RpcError(_INVALID_PARAMS, f"{said}; there are {', '.join(self._tools)}")
        try:
            _refuse_other_names(tool, arguments)
            answer = tool.call(**arguments)
        except UserError as error:
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        except Exception as error:  # a server goes on whatever one call meets
            log.exception("%s failed", name)
            said = f"{name} failed inside ({type(error).__name__}); the server's log says more"
            return {"content": [{"type": "text", "text": said}], "isError": True}
        text = json_text(answer)
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": json.loads(text),
            "isError": False,
        }

    def _fail(self, number: str | int | None, code: int, message: str) -> None:
        self._write({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}})

    def _write(self, message: Mapping[str, Any]) -> None:
        with self._writing:
            self._output.write(json_text(message).encode() + b"\n")
            self._output.flush()


def _checked(message: Any) -> tuple[str, Mapping[str, Any]]:
    """Method and parameters of a message of JSON-RPC."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise _RpcError(_INVALID_REQUEST, "this is no message of JSON-RPC 2.0")
    method, params, own = message.get("method"), message.get("params", {}), message.get("id", 0)
    if not isinstance(method, str) or not isinstance(own, str | int) or isinstance(own, bool):
        raise _RpcError(_INVALID_REQUEST, "a request has a method and an id, which are texts or a number")
    if not isinstance(params, dict):
        raise _RpcError(_INVALID_PARAMS, "params is no object")
    return method, params


def _refuse_other_names(tool: Tool, arguments: Mapping[str, Any]) -> None:
    known: Mapping[str, Any] = tool.schema.get("properties", {})
    if missing := [name for name in tool.schema.get("required", ()) if name not in arguments]:
        raise UserError(f"{tool.name} needs {', '.join(missing)}")
    if others := [name for name in arguments if name not in known]:
        raise UserError(f"{tool.name} has no {', '.join(others)}; it takes {', '.join(known)}")

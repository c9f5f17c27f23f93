"""A small POP3 client over a raw socket: sends a command, reads to the end of its reply."""
import socket


class Pop3:
    def __init__(self, address, tls, timeout=120):
        host, port = address.rsplit(":", 1)
        self.socket = tls.wrap_socket(socket.create_connection((host, int(port)), timeout=timeout))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""
        self.one()

    def more(self):
        data = self.socket.recv(262144)
        if not data:
            raise OSError("closed")
        self.left += data

    def one(self, command=None):
        """A reply of one line."""
        if command is not None:
            self.socket.sendall(command.encode() + b"\r\n")
        while b"\r\n" not in self.left:
            self.more()
        line, self.left = self.left.split(b"\r\n", 1)
        if not line.startswith(b"+OK"):
            raise OSError(line)
        return line

    def many(self, command):
        """A reply of several lines, dots still doubled."""
        self.socket.sendall(command.encode() + b"\r\n")
        while not (self.left.endswith(b"\r\n.\r\n") or self.left.startswith(b"-ERR") and b"\r\n" in self.left):
            self.more()
        text, self.left = self.left, b""
        if not text.startswith(b"+OK"):
            raise OSError(text)
        return text

    def close(self):
        self.socket.close()

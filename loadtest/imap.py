"""A small IMAP client over a raw socket: sends a command, reads to its tagged end, counts bytes."""
import re
import socket
import ssl


class Imap:
    def __init__(self, address, tls=None, timeout=120):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self.left = b""
        self.tag = 0
        self.line()

    def line(self):
        while b"\r\n" not in self.left:
            data = self.socket.recv(65536)
            if not data:
                raise OSError("closed")
            self.left += data
        line, self.left = self.left.split(b"\r\n", 1)
        return line

    def send(self, text, literal=None):
        self.tag += 1
        tag = b"t%d" % self.tag
        self.socket.sendall(tag + b" " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        if literal is not None:
            self.socket.sendall(literal + b"\r\n")
        return tag

    def until(self, tag):
        """Everything up to the tagged reply, as one run of bytes."""
        chunks, tail = [self.left], self.left
        mark = re.compile(rb"(?:^|\r\n)" + tag + rb" (OK|NO|BAD)[^\r\n]*\r\n")
        while True:
            found = mark.search(tail)
            if found:
                break
            data = self.socket.recv(1 << 18)
            if not data:
                raise OSError("closed")
            chunks.append(data)
            tail = (tail + data)[-4096:] if len(data) < 4096 else tail[-512:] + data
        everything = b"".join(chunks)
        at = everything.rindex(b"\r\n" + tag + b" ") if not everything.startswith(tag + b" ") else -2
        end = everything.index(b"\r\n", at + 2) + 2
        self.left = everything[end:]
        if found.group(1) != b"OK":
            raise OSError(everything[at + 2:end].decode())
        return everything[:end]

    def do(self, text, literal=None):
        return self.until(self.send(text, literal))

    def login(self, user, password):
        return self.do(f'LOGIN "{user}" "{password}"')

    def append(self, mailbox, message, flags=""):
        return self.do(b"APPEND %s (%s) {%d+}" % (mailbox.encode(), flags.encode(), len(message)), message)

    def close(self):
        self.socket.close()


def tls_context(ca_file=None):
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    if ca_file is None:
        context.verify_mode = ssl.CERT_NONE
    return context
